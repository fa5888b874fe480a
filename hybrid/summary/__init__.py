"""What a data set holds and which of its videos are suspicious: tables, checks, pictures."""
