SELECT id, shop.score(id, amount) AS s FROM shop.orders ORDER BY id;
-- [1, 11.5]
-- [2, 22.0]
-- [3, null]
-- [4, 44.0]
-- [5, 55.5]

SELECT o.*, shop.score(o.id, o.amount) AS s FROM shop.orders AS o WHERE o.id < 3 ORDER BY s DESC;
-- [2, 1, 2.0, "2020-02-01", 22.0]
-- [1, 1, 1.5, "2020-01-31", 11.5]

SELECT shop.score(id, amount) AS s, o.* EXCEPT (day, amount) FROM shop.orders AS o ORDER BY 1 LIMIT 2;
-- [null, 3, 2]
-- [11.5, 1, 1]

SELECT * REPLACE (UPPER(name) AS name), shop.score(id, 1) AS s FROM shop.customers ORDER BY id;
-- [1, "ANN", "Bern", 11.0]
-- [2, "BOB", "Genf", 21.0]
-- [3, "CÉ", null, 31.0]

SELECT c.name, shop.score(o.id, o.amount) AS s
FROM shop.orders AS o JOIN shop.customers AS c ON o.customer = c.id
ORDER BY o.id;
-- ["Ann", 11.5]
-- ["Ann", 22.0]
-- ["Bob", null]
-- ["Bob", 44.0]
-- ["Cé", 55.5]

SELECT c.name, shop.score(o.id, o.amount) AS s
FROM shop.customers AS c LEFT JOIN shop.orders AS o ON o.customer = c.id AND o.amount > 3
ORDER BY c.id;
-- ["Ann", null]
-- ["Bob", 44.0]
-- ["Cé", 55.5]

SELECT name, s FROM shop.customers AS c
JOIN (SELECT customer, shop.score(id, amount) AS s FROM shop.orders) AS p ON p.customer = c.id
WHERE s > 20 ORDER BY s;
-- ["Ann", 22.0]
-- ["Bob", 44.0]
-- ["Cé", 55.5]

SELECT c.city, SUM(shop.score(o.id, o.amount)) AS total
FROM shop.orders AS o JOIN shop.customers AS c USING (id)
GROUP BY c.city ORDER BY total;
-- [null, null]
-- ["Bern", 11.5]
-- ["Genf", 22.0]

WITH scored AS (SELECT id, customer, shop.score(id, amount) AS s FROM shop.orders)
SELECT customer, COUNT(*) AS n, AVG(s) AS mean FROM scored GROUP BY customer ORDER BY customer;
-- [1, 2, 16.75]
-- [2, 2, 44.0]
-- [3, 1, 55.5]

WITH a AS (SELECT id, shop.score(id, 0) AS s FROM shop.orders), b AS (SELECT id, s + 1 AS s FROM a WHERE s > 20)
SELECT a.s, b.s AS next FROM a JOIN b ON a.id = b.id ORDER BY a.id;
-- [30.0, 31.0]
-- [40.0, 41.0]
-- [50.0, 51.0]

WITH a AS (SELECT 1 AS id), b AS (SELECT id + 1 AS id FROM a)
SELECT shop.score(id, 0) AS s FROM b;
-- [20.0]

SELECT AVG(ABS(shop.score(id, amount) - 10 * id)) AS mae FROM shop.orders;
-- [3.25]

SELECT customer, SUM(shop.score(id, amount)) AS s FROM shop.orders GROUP BY customer HAVING s > 30 ORDER BY s DESC;
-- [3, 55.5]
-- [2, 44.0]
-- [1, 33.5]

SELECT customer, shop.score(customer, SUM(amount)) AS s FROM shop.orders GROUP BY customer ORDER BY customer;
-- [1, 13.5]
-- [2, 24.0]
-- [3, 35.5]

SELECT MOD(id, 2) AS odd, shop.score(MOD(id, 2), COUNT(*)) + SUM(amount) AS s
FROM shop.orders GROUP BY odd ORDER BY odd;
-- [0, 8.0]
-- [1, 20.0]

SELECT shop.score(MAX(id), MIN(amount)) AS s FROM shop.orders;
-- [51.5]

SELECT COUNT(*) AS n FROM shop.orders WHERE shop.score(id, amount) > 30;
-- [2]

SELECT id FROM shop.orders WHERE shop.score(id, 0) BETWEEN 20 AND 30 ORDER BY id;
-- [2]
-- [3]

SELECT id FROM shop.orders WHERE customer IN (SELECT id FROM shop.customers WHERE shop.score(id, 0) >= 20) ORDER BY id;
-- [3]
-- [4]
-- [5]

SELECT DISTINCT shop.score(customer, 0) AS s FROM shop.orders ORDER BY s;
-- [10.0]
-- [20.0]
-- [30.0]

SELECT id, RANK() OVER (ORDER BY shop.score(id, amount) DESC) AS place FROM shop.orders ORDER BY id;
-- [1, 4]
-- [2, 3]
-- [3, 5]
-- [4, 2]
-- [5, 1]

SELECT id, shop.score(id, amount) AS s, ROW_NUMBER() OVER (PARTITION BY customer ORDER BY id DESC) AS latest
FROM shop.orders ORDER BY id;
-- [1, 11.5, 2]
-- [2, 22.0, 1]
-- [3, null, 2]
-- [4, 44.0, 1]
-- [5, 55.5, 1]

SELECT id, shop.score(id, amount) AS s FROM shop.orders WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY customer ORDER BY id DESC) = 1 ORDER BY id;
-- [2, 22.0]
-- [4, 44.0]
-- [5, 55.5]

SELECT id, shop.score(id, amount) AS s FROM shop.orders WHERE TRUE
QUALIFY RANK() OVER (ORDER BY s DESC) <= 2 ORDER BY s DESC;
-- [5, 55.5]
-- [4, 44.0]

SELECT id, s, s - LAG(s) OVER (ORDER BY id) AS step
FROM (SELECT id, shop.score(id, 1) AS s FROM shop.orders) ORDER BY id LIMIT 3;
-- [1, 11.0, null]
-- [2, 21.0, 10.0]
-- [3, 31.0, 10.0]

SELECT id, SUM(shop.score(id, 0)) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s
FROM shop.orders ORDER BY id;
-- [1, 10.0]
-- [2, 30.0]
-- [3, 50.0]
-- [4, 70.0]
-- [5, 90.0]

SELECT shop.score(x, 0.5) AS s FROM UNNEST([3, 1, 2]) AS x ORDER BY s;
-- [10.5]
-- [20.5]
-- [30.5]

SELECT o, shop.score(x, o) AS s FROM UNNEST([7, 8]) AS x WITH OFFSET AS o ORDER BY o;
-- [0, 70.0]
-- [1, 81.0]

SELECT id, shop.score(x, amount) AS s FROM shop.orders, UNNEST([id, customer]) AS x WHERE id < 3 ORDER BY id, s;
-- [1, 11.5]
-- [1, 11.5]
-- [2, 12.0]
-- [2, 22.0]

SELECT shop.score(id, 0) AS s FROM shop.orders WHERE id = 1
UNION ALL SELECT shop.score(id, 0) FROM shop.customers WHERE id = 3 ORDER BY s;
-- [10.0]
-- [30.0]

SELECT id, CASE WHEN amount > 3 THEN shop.score(id, amount) ELSE 0 END AS s FROM shop.orders ORDER BY id;
-- [1, 0.0]
-- [2, 0.0]
-- [3, 0.0]
-- [4, 44.0]
-- [5, 55.5]

SELECT id, IF(amount IS NULL, -1, shop.score(id, amount)) AS s FROM shop.orders ORDER BY id;
-- [1, 11.5]
-- [2, 22.0]
-- [3, -1.0]
-- [4, 44.0]
-- [5, 55.5]

SELECT id, COALESCE(shop.score(id, amount), 0) AS s FROM shop.orders WHERE id IN (2, 3) ORDER BY id;
-- [2, 22.0]
-- [3, 0.0]

SELECT IFNULL(NULLIF(shop.score(id, 0), 10), -1) AS s FROM shop.customers ORDER BY id;
-- [-1.0]
-- [20.0]
-- [30.0]

SELECT id, ROUND(shop.score(id, amount) / 3, 2) AS third FROM shop.orders WHERE amount IS NOT NULL ORDER BY third DESC;
-- [5, 18.5]
-- [4, 14.67]
-- [2, 7.33]
-- [1, 3.83]

SELECT shop.score(CAST(shop.score(id, 0) AS INT64), 1) AS twice FROM shop.customers ORDER BY id;
-- [101.0]
-- [201.0]
-- [301.0]

SELECT id, shop.score(id, amount) - shop.score(id, 0) AS difference FROM shop.orders ORDER BY id;
-- [1, 1.5]
-- [2, 2.0]
-- [3, null]
-- [4, 4.0]
-- [5, 5.5]

SELECT DATE_TRUNC(day, MONTH) AS month, MAX(shop.score(id, 0)) AS s FROM shop.orders GROUP BY month ORDER BY month;
-- ["2020-01-01", 10.0]
-- ["2020-02-01", 30.0]
-- ["2020-03-01", 50.0]

SELECT name FROM shop.customers AS c
WHERE EXISTS (SELECT 1 FROM shop.orders AS o WHERE o.customer = c.id AND shop.score(o.id, o.amount) > 40) ORDER BY name;
-- ["Bob"]
-- ["Cé"]

SELECT name, (SELECT MAX(shop.score(o.id, o.amount)) FROM shop.orders AS o WHERE o.customer = c.id) AS best
FROM shop.customers AS c ORDER BY name;
-- ["Ann", 22.0]
-- ["Bob", 44.0]
-- ["Cé", 55.5]

SELECT ARRAY_AGG(shop.score(id, 0) ORDER BY id) AS all_scores FROM shop.customers;
-- [[10.0, 20.0, 30.0]]

SELECT STRUCT(id AS id, shop.score(id, 0) AS s) AS pair FROM shop.customers ORDER BY id LIMIT 1;
-- [{"id": 1, "s": 10.0}]

SELECT TO_JSON(STRUCT(name AS name, shop.score(id, 0) AS s)) AS row FROM shop.customers ORDER BY id LIMIT 1;
-- ["{\"name\":\"Ann\",\"s\":10.0}"]

SELECT FORMAT('%s: %.1f', name, shop.score(id, 0)) AS label FROM shop.customers ORDER BY id;
-- ["Ann: 10.0"]
-- ["Bob: 20.0"]
-- ["Cé: 30.0"]

SELECT id, shop.score(id, amount) AS s FROM shop.orders WHERE amount >= @least ORDER BY s DESC LIMIT 1 OFFSET 1;
-- [4, 44.0]

SELECT shop.score(id, @least) AS s FROM shop.customers WHERE name = @name;
-- [12.0]

SELECT a.id, b.id AS other, shop.score(a.id, b.id) AS s
FROM shop.customers AS a CROSS JOIN shop.customers AS b WHERE a.id < b.id ORDER BY s;
-- [1, 2, 12.0]
-- [1, 3, 13.0]
-- [2, 3, 23.0]

SELECT shop.score(id, amount) IS NULL AS missing, COUNT(*) AS n FROM shop.orders GROUP BY missing ORDER BY missing;
-- [false, 4]
-- [true, 1]

CREATE OR REPLACE TABLE shop.scored AS SELECT id, shop.score(id, amount) AS s FROM shop.orders;
SELECT id, s FROM shop.scored WHERE s IS NOT NULL ORDER BY s DESC;
-- [5, 55.5]
-- [4, 44.0]
-- [2, 22.0]
-- [1, 11.5]

CREATE OR REPLACE TABLE shop.kept (id INT64, s FLOAT64);
INSERT INTO shop.kept (s, id) SELECT shop.score(id, 1), id FROM shop.customers;
INSERT shop.kept VALUES (9, 1), (8, NULL);
SELECT * FROM shop.kept ORDER BY id;
-- [1, 11.0]
-- [2, 21.0]
-- [3, 31.0]
-- [8, null]
-- [9, 1.0]

CREATE OR REPLACE TABLE shop.merged AS SELECT id, 0.5 AS s FROM shop.customers WHERE id < 3;
MERGE shop.merged AS t USING shop.customers AS c ON t.id = c.id
WHEN MATCHED AND c.id = 2 THEN UPDATE SET s = shop.score(c.id, 2)
WHEN NOT MATCHED THEN INSERT (id, s) VALUES (c.id, shop.score(c.id, 3));
SELECT * FROM shop.merged ORDER BY id;
-- [1, 0.5]
-- [2, 22.0]
-- [3, 33.0]
