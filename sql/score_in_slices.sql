-- Scores a large table into another one, slice by slice: a failure costs one slice, and each statement stays well
-- within BigQuery's six hours. Run the script again after a failure; slices that are there are left out.
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
