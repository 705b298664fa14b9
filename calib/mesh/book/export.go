package book

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Set returns a period as the data set that `ursa eval` and `ursa calib audit` read. describe gives each beacon's row; its id is
// replaced by the beacon's, in hex. Members without a single measurement stay in.
func (b *Book) Set(ctx context.Context, name string, p Period, describe func(identity.ID) dataset.Node) (*dataset.Set, error) {
	nodes := make([]dataset.Node, len(p.Members))
	for i, id := range p.Members {
		nodes[i] = describe(id)
		nodes[i].ID = id.String()
	}
	set, err := dataset.New(name, nodes)
	if err != nil {
		return nil, err
	}
	return set, b.Each(ctx, p.ID, func(r Record) error {
		i, okI := set.Index(r.From.String())
		j, okJ := set.Index(r.To.String())
		if !okI || !okJ {
			return fmt.Errorf("%w: %s to %s, not both members of the period", ErrRecord, r.From.Short(), r.To.Short())
		}
		return set.Add(i, j, r.RTT, false)
	})
}

// WriteSeries writes every measurement of every period as the table that `ursa calib watch` reads, in time order for each pair.
func (b *Book) WriteSeries(ctx context.Context, w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"unix_ts", "src_id", "dst_id", "min_ms"}); err != nil {
		return err
	}
	rows, err := b.db.QueryContext(ctx, `SELECT at_unix_ns, src, dst, rtt_ns FROM measurement ORDER BY src, dst, at_unix_ns, seq`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var at, rtt int64
		var from, to []byte
		if err := rows.Scan(&at, &from, &to, &rtt); err != nil {
			return err
		}
		ids, err := both(from, to)
		if err != nil {
			return err
		}
		if err := out.Write(slices.Concat([]string{strconv.FormatInt(at/1e9, 10)}, ids, []string{strconv.FormatFloat(float64(rtt)/1e6, 'f', 6, 64)})); err != nil {
			return err
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return err
	}
	return rows.Err()
}

func both(from, to []byte) ([]string, error) {
	a, err := idOf(from)
	if err != nil {
		return nil, err
	}
	b, err := idOf(to)
	return []string{a.String(), b.String()}, err
}
