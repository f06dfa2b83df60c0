-- Adds a group of chats that are the same.
INSERT INTO protokeep_census_groups
  (workspace_id, account, group_id, confidence, reasons, product_id, product_confidence)
VALUES (:workspace_id, :account, :group_id, :confidence, :reasons, :product_id, :product_confidence)
