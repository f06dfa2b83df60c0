-- How many rows there are, are followed, and name a chat that is not followed yet.
SELECT count(*) AS total, count(g.mockup_id) AS followed,
       count(CASE WHEN g.mockup_id IS NULL AND m.v0_chat_id IS NOT NULL THEN 1 END) AS waiting
  FROM design_mockups AS m LEFT JOIN protokeep_generations AS g ON g.mockup_id = m.id
