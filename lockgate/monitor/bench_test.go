package monitor_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/monitor"
)

// processor is the processor time that this process has used: what a busy machine does not change.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDecision makes a decision of eight beacons again from its evidence.
func BenchmarkDecision(b *testing.B) {
	s := newScene(b)
	s.decide(s.Core, 10, false)
	s.read()
	begin := processor(b)
	for b.Loop() {
		a := monitor.NewAuditor(monitor.Options{})
		a.Open(s.files[0])
		if r := a.Report(time.Now()); r.Opened != 1 {
			b.Fatal(r.Findings)
		}
	}
	b.ReportMetric(float64((processor(b)-begin).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// BenchmarkLeaves adds up ten thousand releases.
func BenchmarkLeaves(b *testing.B) {
	entries := []monitor.Entry{{Index: 0, Leaf: ledger.Leaf{Version: 1, Kind: ledger.KindDirectory, AtUnixMS: 1, Epoch: 1, Object: [32]byte{1}}},
		{Index: 1, Leaf: ledger.Leaf{Version: 1, Kind: ledger.KindPolicy, AtUnixMS: 1, PolicyHash: [32]byte{1}, Object: [32]byte{1}}}}
	for i := range 10_000 {
		entries = append(entries, monitor.Entry{Index: uint64(i + 2), Leaf: ledger.Leaf{Version: 1, Kind: ledger.KindGrant, AtUnixMS: int64(i + 1), Units: 6,
			PolicyHash: [32]byte{1}, Epoch: 1, Object: [32]byte{byte(i), byte(i >> 8)}, Commitment: [32]byte{4}, NotAfterMS: 1 << 40}})
	}
	begin := processor(b)
	for b.Loop() {
		a := monitor.NewAuditor(monitor.Options{})
		a.Read(entries)
		if r := a.Report(time.Now()); r.Grants != 10_000 || !r.Sound() {
			b.Fatal(fmt.Sprint(r.Findings))
		}
	}
	b.ReportMetric(float64((processor(b)-begin).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}
