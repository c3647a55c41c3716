-- Scores a large table in 100 slices: a failure costs one slice, and each statement stays well below BigQuery's limit
-- of six hours. After a failure, run the script again; it skips the slices that are already scored.
CREATE TABLE IF NOT EXISTS ds.scored (id INT64, slice INT64, predicted FLOAT64);

FOR part IN (
  SELECT slice FROM UNNEST(GENERATE_ARRAY(0, 99)) AS slice
  WHERE slice NOT IN (SELECT DISTINCT slice FROM ds.scored)
  ORDER BY slice
) DO
  INSERT INTO ds.scored (id, slice, predicted)
  SELECT id, part.slice, ds.predict(MedInc, HouseAge)
  FROM ds.houses
  WHERE MOD(ABS(FARM_FINGERPRINT(CAST(id AS STRING))), 100) = part.slice;
END FOR;
