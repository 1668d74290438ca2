"""APIs of vendors whose clients are pointed at this proxy: a file each."""
