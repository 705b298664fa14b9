package dataset_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/calib/dataset"
)

// Whatever the bytes: no panic; an error is one line with the place; what is accepted is within the format and writes back.
func FuzzReadNodes(f *testing.F) {
	for _, s := range []string{"", nodesHead, abc, nodesHead + "a,b,DE,1e1,-0,\n", nodesHead + "a,\"\",DE,1,1,\"x\"\n", "\ufeff" + abc, nodesHead + "a,b,DE,NaN,1,\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		nodes, err := dataset.ReadNodes(bytes.NewReader(data), "nodes.csv")
		if err != nil {
			placed(t, err, "nodes.csv:")
			return
		}
		s, err := dataset.New("x", nodes)
		if err != nil {
			t.Fatalf("accepted by the reader, refused by New: %v", err)
		}
		var b bytes.Buffer
		if err := s.WriteNodes(&b); err != nil {
			t.Fatal(err)
		}
		again, err := dataset.ReadNodes(&b, "nodes.csv")
		if err != nil || len(again) != len(nodes) {
			t.Fatalf("written nodes do not read: %v", err)
		}
	})
}

func FuzzReadRTT(f *testing.F) {
	for _, s := range []string{"", rttHead, rttHead + "a,b,1,2,3\n", rttHead + "a,b,,2,~48x30\n", rttHead + "a,a,1,,\nb,c,1e-9,,\n", rttHead + "a,b,\"1\",,\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := dataset.New("x", []dataset.Node{{ID: "a"}, {ID: "b"}, {ID: "c"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.ReadRTT(bytes.NewReader(data), "rtt.csv"); err != nil {
			placed(t, err, "rtt.csv:")
		}
		for i := range s.Nodes {
			for j := range s.Nodes {
				if rtt, ok := s.RTT(i, j); ok && (rtt <= 0 || rtt > dataset.MaxRTT || i == j) {
					t.Fatalf("%d to %d is %d ns", i, j, int64(rtt))
				}
			}
		}
	})
}

func placed(t *testing.T, err error, file string) {
	t.Helper()
	var at *dataset.LineError
	if !errors.As(err, &at) || at.Line < 1 || !strings.HasPrefix(err.Error(), file) || strings.ContainsAny(err.Error(), "\n\r") {
		t.Fatalf("the error names no place, or is not one line: %q", err)
	}
}

func BenchmarkReadRTT(b *testing.B) {
	nodes := make([]dataset.Node, 250)
	for i := range nodes {
		nodes[i].ID = "wp" + strings.Repeat("x", i%3) + string(rune('a'+i/26)) + string(rune('a'+i%26))
	}
	full, err := dataset.New("x", nodes)
	if err != nil {
		b.Fatal(err)
	}
	for i := range nodes {
		for j := range nodes {
			if i != j {
				_ = full.Add(i, j, 123_456_789, false)
			}
		}
	}
	var text bytes.Buffer
	if err := full.WriteRTT(&text); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		s, _ := dataset.New("x", nodes)
		if err := s.ReadRTT(bytes.NewReader(text.Bytes()), "rtt.csv"); err != nil {
			b.Fatal(err)
		}
	}
}
