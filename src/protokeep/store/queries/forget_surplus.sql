-- Surplus chats that were deleted upstream.
DELETE FROM protokeep_surplus_chats WHERE mockup_id = :mockup_id
