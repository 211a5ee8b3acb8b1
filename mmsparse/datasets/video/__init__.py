"""Video: lists of files, frames by their number, clips of frames, and what is done to a whole clip at once."""
