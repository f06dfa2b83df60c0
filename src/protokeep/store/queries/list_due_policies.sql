-- Standing policies whose next draft is due.
SELECT * FROM protokeep_clean_up_policies WHERE next_at <= :now ORDER BY next_at LIMIT 20
