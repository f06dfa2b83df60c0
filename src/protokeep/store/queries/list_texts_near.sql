-- PostgreSQL: texts of other products that share a band, a few of them, newest first. The bands lead to them, whatever
-- the planner believes: it does not know how common a band is.
WITH near AS MATERIALIZED (
    SELECT x.place, x.mockup_id, x.text FROM protokeep_texts x
    WHERE x.numbers && CAST(:numbers AS int[]) AND x.workspace_id = :workspace_id AND x.product_id <> :product_id
)
SELECT few.mockup_id AS id, few.text FROM (SELECT * FROM near LIMIT :most) AS few ORDER BY few.place DESC LIMIT :limit
