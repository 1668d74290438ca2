"""What is read from files in the working folder, before it is settings; and files that are read again while a process runs."""
