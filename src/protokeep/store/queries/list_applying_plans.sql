-- Lists the plans of all workspaces that delete chats now.
SELECT * FROM protokeep_plans WHERE state = 'applying' ORDER BY id
