-- Return how much of a tenant's worker-seconds still counts: half of it after every 60 s.
CREATE OR REPLACE FUNCTION faded(
    seconds double precision, since timestamptz, moment timestamptz
) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    -- PostgreSQL would report an underflow beyond a thousand halvings.
    SELECT seconds
           * power(0.5::float8, least(extract(epoch FROM moment - since) / 60, 900)::float8)
$$
