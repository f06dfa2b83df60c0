-- Sign out here.
DELETE FROM protokeep_sessions WHERE digest = :digest
