-- Slow patterns, each followed by a fast one. Inside CASE, IF, COALESCE, IFNULL, NULLIF and MERGE ... WHEN, BigQuery
-- may skip rows, so it sends one row per HTTP request, which is hundreds of times slower than a batch.

-- Slow: a NULL check around the function.
SELECT id, IF(MedInc IS NULL, NULL, ds.predict(MedInc, HouseAge)) AS predicted FROM ds.houses;
-- Fast: the function itself returns NULL for a row with NULL.
SELECT id, ds.predict(MedInc, HouseAge) AS predicted FROM ds.houses;

-- Slow: a default for rows that can't be scored.
SELECT id, COALESCE(ds.predict(MedInc, HouseAge), 0) AS predicted FROM ds.houses;
-- Fast: store the predictions first, then apply the default.
CREATE TEMP TABLE scored AS SELECT id, ds.predict(MedInc, HouseAge) AS predicted FROM ds.houses;
SELECT id, COALESCE(predicted, 0) AS predicted FROM scored;

-- Slow: a condition that selects the model.
SELECT id, CASE WHEN region = 'north' THEN north.predict(MedInc) ELSE south.predict(MedInc) END AS predicted
FROM ds.houses;
-- Fast: one query per model.
SELECT id, north.predict(MedInc) AS predicted FROM ds.houses WHERE region = 'north'
UNION ALL
SELECT id, south.predict(MedInc) FROM ds.houses WHERE region != 'north';

-- Slow: the function in MERGE ... WHEN.
MERGE ds.scored AS scored USING ds.houses AS houses ON scored.id = houses.id
WHEN NOT MATCHED THEN INSERT (id, predicted) VALUES (houses.id, ds.predict(houses.MedInc, houses.HouseAge));
-- Fast: the function in USING, for the new rows only; see score_new_rows.sql.
MERGE ds.scored AS scored USING (
  SELECT id, ds.predict(MedInc, HouseAge) AS predicted FROM ds.houses WHERE id NOT IN (SELECT id FROM ds.scored)
) AS houses ON scored.id = houses.id
WHEN NOT MATCHED THEN INSERT (id, predicted) VALUES (houses.id, houses.predicted);
