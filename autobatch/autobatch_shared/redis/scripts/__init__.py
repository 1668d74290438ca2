"""The Lua scripts: each step that must be one step. The head of each file lists KEYS, ARGV and what it returns."""
