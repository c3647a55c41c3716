-- Predicted and actual prices of the ten most expensive houses, in units of 100,000 US dollars.
SELECT
  Latitude,
  Longitude,
  MedHouseVal AS actual,
  ROUND(
    ds.predict(MedInc, HouseAge, AveRooms, AveBedrms, Population, AveOccup, Latitude, Longitude), 3) AS predicted
FROM ds.houses
ORDER BY MedHouseVal DESC
LIMIT 10;
