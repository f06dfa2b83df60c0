-- SQLite: takes the numbers of a text out of the index, which keeps no text and so has to be told them.
INSERT INTO protokeep_text_numbers (protokeep_text_numbers, rowid, numbers) VALUES ('delete', :place, :numbers)
