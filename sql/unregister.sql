-- Drops the SQL functions. The Cloud Function and the model stay; `./deploy.sh --destroy` removes all it created.
DROP FUNCTION IF EXISTS `my-project`.ds.predict;
DROP FUNCTION IF EXISTS `my-project`.ds.predict_row;
DROP FUNCTION IF EXISTS `my-project`.ds.predict_proba;
DROP FUNCTION IF EXISTS `my-project`.ds.model_info;
