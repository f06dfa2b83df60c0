-- Deletes the surplus chats of a prototype, which were deleted at the provider.
DELETE FROM protokeep_surplus_chats WHERE mockup_id = :mockup_id
