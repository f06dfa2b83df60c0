-- How many prototypes the index has.
SELECT count(*) AS number FROM protokeep_texts
