"""Readers of tables, images and token sequences: files to numpy arrays and lists, with every bad input explained."""
