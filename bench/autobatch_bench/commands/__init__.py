"""The commands of `autobatch bench`: options in, exit status out."""
