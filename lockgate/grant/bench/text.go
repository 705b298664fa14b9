package bench

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Text is the report as tables.
func (r *Report) Text() string {
	var b strings.Builder
	table := func(head string, rows func(row func(format string, args ...any))) {
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		_, _ = fmt.Fprintln(w, head+"\t")
		rows(func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\t\n", args...) })
		_ = w.Flush()
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%d processors, %s, %d requests under way, up to %d statements under one signature\n\n", r.Processors, r.Go, r.Clients, r.Together)
	table("whole gate\tgrants/s\tp50 ms\tp99 ms\tverify\tcommit\tledger\tprocessor us", func(row func(string, ...any)) {
		for _, w := range r.Whole {
			row("%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.1f\t%.0f\t%.0f", w.Store, w.PerSecond, w.Latency.P50MS, w.Latency.P99MS, w.VerifyMS, w.CommitMS,
				w.LedgerMS, w.ProcessorUS)
		}
	})
	table("verification of a proof\tus\tproofs/s and processor\ttimes\tstatements\tKB", func(row func(string, ...any)) {
		for _, v := range r.Verify {
			row("%s\t%.0f\t%.0f\t%.2f\t%d\t%.0f", v.How, v.MicroS, v.PerSecond, v.Against, v.Statements, v.AllocatedKB)
		}
	})
	table("store alone\tclients\tcommits/s\tp50 ms\tp99 ms", func(row func(string, ...any)) {
		for _, c := range r.Commit {
			row("%s\t%d\t%.0f\t%.2f\t%.2f", c.Store, c.Clients, c.PerSecond, c.Latency.P50MS, c.Latency.P99MS)
		}
	})
	l := r.Ledger
	table("ledger\tp50 ms\tp99 ms", func(row func(string, ...any)) {
		row("append of %d leaves, durable\t%.2f\t%.2f", l.Leaves, l.AppendMS.P50MS, l.AppendMS.P99MS)
		row("inclusion proof\t%.2f\t%.2f", l.ProofMS.P50MS, l.ProofMS.P99MS)
		row("published under a checkpoint\t%.0f\t%.0f", l.PublishedMS.P50MS, l.PublishedMS.P99MS)
	})
	fmt.Fprintf(&b, "lease made, wrapped, signed %.0f us; lock: a lease %.2f us, the key of a step %.2f us\n", r.IssueUS, r.LockFeedNS/1000, r.LockStepNS/1000)
	if r.NoPostgres != "" {
		fmt.Fprintf(&b, "PostgreSQL was not measured: %s\n", r.NoPostgres)
	}
	return b.String()
}
