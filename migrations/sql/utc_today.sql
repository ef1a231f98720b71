-- Return the current day in UTC, by which max_bytes_per_day counts.
CREATE OR REPLACE FUNCTION utc_today() RETURNS date LANGUAGE sql STABLE AS $$
    SELECT (now() AT TIME ZONE 'UTC')::date
$$
