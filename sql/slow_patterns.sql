-- Patterns to avoid, each beside the fast way. In CASE, IF, COALESCE, IFNULL, NULLIF and MERGE ... WHEN BigQuery may
-- skip rows, so it sends one row per HTTP request: hundreds of times slower than a batch.

-- Slow: a guard around the function.
SELECT id, IF(MedInc IS NULL, NULL, ds.predict(MedInc, HouseAge)) AS predicted FROM ds.houses;
-- Fast: the function answers NULL for a row with NULL by itself.
SELECT id, ds.predict(MedInc, HouseAge) AS predicted FROM ds.houses;

-- Slow: a default for rows that cannot be scored.
SELECT id, COALESCE(ds.predict(MedInc, HouseAge), 0) AS predicted FROM ds.houses;
-- Fast: the function in a table of its own, the default after it.
CREATE TEMP TABLE scored AS SELECT id, ds.predict(MedInc, HouseAge) AS predicted FROM ds.houses;
SELECT id, COALESCE(predicted, 0) AS predicted FROM scored;

-- Slow: two models by condition.
SELECT id, CASE WHEN region = 'north' THEN north.predict(MedInc) ELSE south.predict(MedInc) END AS predicted FROM ds.houses;
-- Fast: the rows of each model in a query of their own.
SELECT id, north.predict(MedInc) AS predicted FROM ds.houses WHERE region = 'north'
UNION ALL
SELECT id, south.predict(MedInc) FROM ds.houses WHERE region != 'north';

-- Slow: the function in MERGE ... WHEN.
MERGE ds.scored AS scored USING ds.houses AS houses ON scored.id = houses.id
WHEN NOT MATCHED THEN INSERT (id, predicted) VALUES (houses.id, ds.predict(houses.MedInc, houses.HouseAge));
-- Fast: the function in USING, on the new rows alone; see score_new_rows.sql.
MERGE ds.scored AS scored USING (
  SELECT id, ds.predict(MedInc, HouseAge) AS predicted FROM ds.houses WHERE id NOT IN (SELECT id FROM ds.scored)
) AS houses ON scored.id = houses.id
WHEN NOT MATCHED THEN INSERT (id, predicted) VALUES (houses.id, houses.predicted);
