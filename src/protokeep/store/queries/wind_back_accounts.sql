-- The database's clock was set back, from `beyond`: pauses of an account end now, and its tracker's lease is no longer than a lease is.
UPDATE protokeep_accounts SET
  hold_until = CASE WHEN hold_until > :beyond THEN :now ELSE hold_until END,
  read_hold_until = CASE WHEN read_hold_until > :beyond THEN :now ELSE read_hold_until END,
  track_until = CASE WHEN track_until > :leased THEN :leased ELSE track_until END
WHERE hold_until > :beyond OR read_hold_until > :beyond OR track_until > :leased
