-- Scores only the rows that have no prediction yet; run it as a scheduled query. The join comes before the call, so
-- BigQuery sends only the new rows to the function.
INSERT INTO ds.scored (id, predicted)
SELECT id, ds.predict(MedInc, HouseAge)
FROM (
  SELECT houses.id, houses.MedInc, houses.HouseAge
  FROM ds.houses AS houses
  LEFT JOIN ds.scored AS scored ON scored.id = houses.id
  WHERE scored.id IS NULL
);
