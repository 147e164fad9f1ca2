package drivers

import (
	"context"
	"database/sql"

	_ "github.com/go-sql-driver/mysql"

	"greenroom/coop"
)

// MySQL asks MySQL or MariaDB through database/sql. Its pool opens connections and resets them on goroutines of its
// own, and the driver closes one from yet another when a context ends: so the calls go to goroutines too.
type MySQL struct {
	db    *sql.DB
	calls Limit
}

// OpenMySQL prepares a pool of connections; see go-sql-driver/mysql for the address. With interpolateParams=true in
// it, a query with parameters is one round trip.
func OpenMySQL(dsn string, conns int) (*MySQL, error) {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns) // 2 is the default: the others would be opened anew for each query
	return &MySQL{db, NewLimit(conns)}, nil
}

// Fill replaces the table "squares".
func (m *MySQL) Fill(g *coop.Greenlet, n int) error {
	_, err := Do(g, m.calls, func(ctx context.Context) (struct{}, error) { return struct{}{}, m.fill(ctx, n) })
	return err
}

func (m *MySQL) fill(ctx context.Context, n int) error {
	for _, q := range []string{
		"DROP TABLE IF EXISTS squares",
		"CREATE TABLE squares (n INT PRIMARY KEY, square INT NOT NULL)",
	} {
		if _, err := m.db.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	for i := range n {
		if _, err := m.db.ExecContext(ctx, "INSERT INTO squares VALUES (?, ?)", i, i*i); err != nil {
			return err
		}
	}
	return nil
}

// Square selects one row.
func (m *MySQL) Square(g *coop.Greenlet, n int) (int, error) {
	return Do(g, m.calls, func(ctx context.Context) (int, error) { return m.square(ctx, n) })
}

func (m *MySQL) square(ctx context.Context, n int) (square int, err error) {
	err = m.db.QueryRowContext(ctx, "SELECT square FROM squares WHERE n = ?", n).Scan(&square)
	return square, err
}

// Close closes the pool.
func (m *MySQL) Close() error { return m.db.Close() }
