"""The Lua scripts. The head of each file lists KEYS, ARGV and what it returns."""
