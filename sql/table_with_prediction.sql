-- Creates a table function that returns a table's columns and the prediction. Analysts write
--   SELECT * FROM ds.houses_with_price(DATE '2026-01-01')
-- predict_row takes the whole row as JSON and finds the model's columns by name. A view works too. Either way, each
-- query calls the function again: BigQuery doesn't cache the results of remote functions.
CREATE OR REPLACE TABLE FUNCTION ds.houses_with_price(since DATE) AS (
  SELECT t.*, ds.predict_row(TO_JSON(t)) AS predicted
  FROM ds.houses AS t
  WHERE t.sold >= since
);
