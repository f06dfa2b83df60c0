-- Brings an archived product back; touches no row if it is not archived.
DELETE FROM protokeep_archived_products WHERE workspace_id = :workspace_id AND product_id = :product_id
