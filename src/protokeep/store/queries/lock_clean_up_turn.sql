-- Lets one transaction at a time decide about the chats of an account.
UPDATE protokeep_clean_up_turns SET owner = owner WHERE account = :account
