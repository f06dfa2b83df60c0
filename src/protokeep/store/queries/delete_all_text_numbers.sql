-- SQLite: takes all numbers out of the index.
INSERT INTO protokeep_text_numbers (protokeep_text_numbers) VALUES ('delete-all')
