"""What msgspec raises at bytes that are not the JSON that was asked for."""

import msgspec

#: Wrong syntax or type; invalid UTF-8 in a string; nesting deeper than Python's stack.
NOT_AS_ASKED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
