-- Scores only the rows that have no prediction yet. The join happens before the function is called, so BigQuery sends
-- the new rows alone. Schedule it.
INSERT INTO ds.scored (id, predicted)
SELECT id, ds.predict(MedInc, HouseAge)
FROM (
  SELECT houses.id, houses.MedInc, houses.HouseAge
  FROM ds.houses AS houses
  LEFT JOIN ds.scored AS scored ON scored.id = houses.id
  WHERE scored.id IS NULL
);
