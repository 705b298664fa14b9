package store

import "context"

// Exec runs a statement on the writer's own connection, as a fault would.
func (s *SQL) Exec(query string) error {
	_, err := s.conn.ExecContext(context.Background(), query)
	return err
}
