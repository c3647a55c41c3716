-- Creates a SQL function that returns the model's prediction. Replace my-project, ds, us.predict and the endpoint with
-- your own. `python -m sql.render` generates this statement for your model, with its columns and the `schema` that
-- protects them; deploy.sh runs it for you.
CREATE OR REPLACE FUNCTION `my-project`.ds.predict(MedInc FLOAT64, HouseAge FLOAT64)
RETURNS FLOAT64
REMOTE WITH CONNECTION `my-project.us.predict`
OPTIONS (
  endpoint = "https://predict-abc-uc.a.run.app",
  user_defined_context = [('function', 'predict'), ('on_error', 'null')],  -- NULL for a row that can't be scored
  max_batching_rows = 1000
);
