-- SQLite: adds the numbers of a text to the index.
INSERT INTO protokeep_text_numbers (rowid, numbers) VALUES (:place, :numbers)
