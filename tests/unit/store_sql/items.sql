-- Statements of the store's tests, one of every sort.

-- name: item.insert
-- rows: 1
-- bytes: data
INSERT INTO items (merchant, id, name, amount, data) VALUES (:merchant, :item, :name, :amount, :data);

-- name: item.offer
-- rows: 1 else twin
INSERT INTO items (merchant, id, name, amount) VALUES (:merchant, :item, :name, :amount)
ON CONFLICT (merchant, name) DO NOTHING;

-- name: item.take
-- rows: 1 else short
UPDATE items SET amount = amount - :taken WHERE merchant = :merchant AND id = :item AND amount >= :taken;

-- Without a condition of its own: the CHECK is behind it.
-- name: item.take_blindly
-- rows: 1 else gone
UPDATE items SET amount = amount - :taken WHERE merchant = :merchant AND id = :item;

-- name: item.give
-- rows: 1 else gone
UPDATE items SET amount = amount + :given WHERE merchant = :merchant AND id = :item RETURNING id, amount, name, data;

-- name: item.give_all
-- rows: any
UPDATE items SET amount = amount + :given WHERE merchant = :merchant RETURNING id;

-- name: item.rename_all
-- rows: any
UPDATE items SET name = :name WHERE merchant = :merchant RETURNING id;

-- name: item.drop_all
-- rows: any
-- operator
DELETE FROM items WHERE amount >= :least;

-- name: note.insert
-- rows: 1
INSERT INTO notes (merchant, id, item, note) VALUES (:merchant, :seq_note, :item, :note);

-- name: note.insert_pair
-- rows: 2
INSERT INTO notes (merchant, id, item, note) VALUES (:merchant, :seq_first, :item, :note), (:merchant, :seq_second, :item, :note);

-- name: note.drop
-- rows: any operator
DELETE FROM notes WHERE merchant = :merchant AND item = :item;

-- name: item.get
-- read
SELECT id, name, amount, data FROM items WHERE merchant = :merchant AND id = :item;

-- name: item.list
-- read list
SELECT id, name FROM items WHERE merchant = :merchant AND id > :after ORDER BY id LIMIT :n;

-- name: item.count
-- read operator
SELECT count(*) AS n, CAST(coalesce(sum(amount), 0) AS BIGINT) AS total FROM items;

-- name: note.list
-- read list
-- operator
SELECT id, merchant, item, note FROM notes WHERE id > :after ORDER BY id LIMIT 1000;

-- name: note.of_item
-- read
SELECT id, note FROM notes WHERE merchant = :merchant AND item = :item ORDER BY id;

-- name: note.with_item
-- read
SELECT n.note, i.name AS "item.name", i.data AS "item.data", n.id AS last, n.item AS "more.id", i.amount AS "item.amount"
FROM notes n JOIN items i ON i.merchant = n.merchant AND i.id = n.item
WHERE n.merchant = :merchant AND n.item = :item ORDER BY n.id;
