"""What a fleet would do, computed: real batchers in front of an upstream that is a formula, in virtual time."""
