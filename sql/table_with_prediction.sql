-- A table function that returns every column of a table and the prediction: analysts write
--   SELECT * FROM ds.houses_with_price(DATE '2026-01-01')
-- predict_row takes the whole row as JSON and finds the model's columns by name. A view would do as well; each query of
-- it calls the function again, since BigQuery keeps no results of remote functions.
CREATE OR REPLACE TABLE FUNCTION ds.houses_with_price(since DATE) AS (
  SELECT t.*, ds.predict_row(TO_JSON(t)) AS predicted
  FROM ds.houses AS t
  WHERE t.sold >= since
);
