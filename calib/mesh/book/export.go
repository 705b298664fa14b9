package book

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/ursa-virtual/ursa/beacon/statement"
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

// The columns of WriteStatements, units in the names. Those from beacon_rtt_p10_ns on are the beacon's signed words; a cell is empty
// where a proof's statement is of another version than this program reads.
var statementColumns = []string{"period_id", "period_start_unix_ns", "seq", "src_beacon_id", "dst_beacon_id", "at_unix_ns", "bound_rtt_ns", "beacon_rtt_min_ns",
	"core_rtt_min_ns", "rounds_ok", "rounds_sent", "beacon_rtt_p10_ns", "beacon_rtt_p50_ns", "beacon_rtt_p90_ns", "timer_granularity_ns", "timer_error_ppb",
	"payload_bytes", "session_start_unix_ns", "session_end_unix_ns", "pos_unc_mm", "directory_epoch", "flags", "proof_bytes", "proof_sha256"}

// WriteStatements writes every measurement of every period for research, with what the beacon stated about its rounds. The hash names
// the proof in the book, by which a row can be verified again.
func (b *Book) WriteStatements(ctx context.Context, w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(statementColumns); err != nil {
		return err
	}
	rows, err := b.db.QueryContext(ctx, `SELECT p.id, p.start_unix_ns, m.seq, m.src, m.dst, m.at_unix_ns, m.rtt_ns, m.rtt_beacon_ns, m.rtt_core_ns, m.rounds, m.proof
		FROM measurement m JOIN period p ON p.id = m.period ORDER BY m.seq`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var period, from, to, proof []byte
		var start, seq, at, rtt, beacon, core, rounds int64
		if err := rows.Scan(&period, &start, &seq, &from, &to, &at, &rtt, &beacon, &core, &rounds, &proof); err != nil {
			return err
		}
		ids, err := both(from, to)
		if err != nil {
			return err
		}
		row := append([]string{hex.EncodeToString(period), number(start), number(seq)}, ids...)
		row = append(row, number(at), number(rtt), number(beacon), number(core), number(rounds))
		row = append(row, stated(proof)...)
		sum := sha256.Sum256(proof)
		if err := out.Write(append(row, number(len(proof)), hex.EncodeToString(sum[:]))); err != nil {
			return err
		}
	}
	out.Flush()
	return cmp.Or(out.Error(), rows.Err())
}

// stated returns the columns that only the statement has.
func stated(proof []byte) []string {
	cells := make([]string, 12)
	p, err := statement.DecodeProof(proof)
	if err != nil || len(p.Statements) != 1 {
		return cells
	}
	s, err := statement.Decode(p.Statements[0].Payload)
	if err != nil {
		return cells
	}
	return []string{number(s.RoundsSent), number(s.RTTBeaconP10NS), number(s.RTTBeaconP50NS), number(s.RTTBeaconP90NS), number(s.TimerGranularityNS),
		number(s.TimerErrorPPB), number(s.PayloadLen), number(s.StartUnixNS), number(s.EndUnixNS), number(s.PosUncMM), number(s.DirectoryEpoch), number(s.Flags)}
}

// number prints an integer; statement.Flags would print as words.
func number[T ~int | ~int64 | ~uint64](v T) string {
	if v < 0 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatUint(uint64(v), 10)
}
