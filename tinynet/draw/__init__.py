"""Pictures, a file each: arrays and plain records in, a PNG out. All are drawn on the same page (page.py)."""
