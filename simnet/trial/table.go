package trial

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/ursa-virtual/ursa/simnet/adversary"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// Defence is what a gate decides: how much it allows for, and whom it asks.
type Defence struct {
	F          int              `json:"f"`
	Class      earth.SpeedClass `json:"-"`
	Speed      string           `json:"speed"` // the class's name
	Committee  int              `json:"committee"`
	Quarantine bool             `json:"quarantine"`
}

// String prints "f 1, vacuum, 8, audit".
func (d Defence) String() string {
	s := fmt.Sprintf("f %d, %s, %d", d.F, d.Class, d.Committee)
	if d.Quarantine {
		s += ", audit"
	}
	return s
}

// Defences are the settings that a table compares: each differs in one thing from another.
func Defences() []Defence {
	var out []Defence
	for _, d := range []Defence{
		{F: 0, Class: earth.Vacuum, Committee: 8}, {F: 1, Class: earth.Vacuum, Committee: 8}, {F: 2, Class: earth.Vacuum, Committee: 8},
		{F: 0, Class: earth.Fibre, Committee: 8}, {F: 1, Class: earth.Fibre, Committee: 8},
		{F: 1, Class: earth.Vacuum, Committee: 24},
		{F: 0, Class: earth.Vacuum, Committee: 8, Quarantine: true}, {F: 1, Class: earth.Vacuum, Committee: 8, Quarantine: true},
	} {
		d.Speed = d.Class.String()
		out = append(out, d)
	}
	return out
}

// Adversaries are the rows of a table: each of the library at its default strength, and once more where a greater strength breaks
// what a verdict assumes.
func Adversaries() []adversary.Adversary {
	stronger := map[adversary.Name]float64{adversary.Colluders: 1, adversary.LyingShort: 2, adversary.LyingMoved: 8, adversary.StolenKey: 2,
		adversary.PausedVM: 2, adversary.MovedCore: 3000}
	var out []adversary.Adversary
	for _, k := range adversary.Library() {
		out = append(out, adversary.Adversary{Name: k.Name, Strength: k.Default})
		if s, ok := stronger[k.Name]; ok {
			out = append(out, adversary.Adversary{Name: k.Name, Strength: s})
		}
	}
	return out
}

// Row is a cell of the table: one adversary against one defence.
type Row struct {
	Adversary adversary.Adversary `json:"adversary"`
	Defence   Defence             `json:"defence"`
	Holds     bool                `json:"assumptions_hold"` // then no false accept may be
	Convicted int                 `json:"convicted"`        // beacons in quarantine
	Tally
}

// Tabulate tries n honest and n cheating cores with each adversary against each defence. The base setup gives world, constellation,
// permit, access and seed. progress, which may be nil, is told after each cell.
func Tabulate(ctx context.Context, base Setup, adversaries []adversary.Adversary, defences []Defence, n uint64, progress func(done, total int)) ([]Row, error) {
	var rows []Row
	for _, a := range adversaries {
		for _, d := range defences {
			s := base
			s.Adversary, s.F, s.Class, s.Committee, s.Quarantine = a, d.F, d.Class, d.Committee, d.Quarantine
			t, err := s.Prepare()
			if err != nil {
				return nil, fmt.Errorf("%s against %s: %w", a, d, err)
			}
			r := Row{Adversary: a, Defence: d, Holds: a.Holds(d.F, d.Class == earth.Vacuum), Convicted: len(t.convicted)}
			if r.Tally, err = t.Count(ctx, n, world.DataCentre); err != nil {
				return nil, fmt.Errorf("%s against %s: %w", a, d, err)
			}
			rows = append(rows, r)
			if progress != nil {
				progress(len(rows), len(adversaries)*len(defences))
			}
		}
	}
	return rows, nil
}

// WriteTable writes rows of Tabulate as Markdown: a line for each adversary, a column for each defence.
func WriteTable(w io.Writer, rows []Row) error {
	var b strings.Builder
	var last adversary.Adversary
	for i, r := range rows {
		if i == 0 {
			b.WriteString(header(rows))
		}
		if i == 0 || r.Adversary != last {
			if i > 0 {
				b.WriteString("\n")
			}
			fmt.Fprintf(&b, "| `%s` | %s |", r.Adversary, refusal(r.Adversary))
			last = r.Adversary
		}
		fmt.Fprintf(&b, " %s |", r.cell())
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func header(rows []Row) string {
	head, line := "| adversary | refused by |", "|---|---|"
	for _, r := range rows {
		if r.Adversary != rows[0].Adversary {
			break
		}
		head += " " + r.Defence.String() + " |"
		line += "---|"
	}
	return head + "\n" + line + "\n"
}

func refusal(a adversary.Adversary) string {
	k, err := adversary.Find(a.Name)
	if err != nil {
		return ""
	}
	if k.Refused == adversary.ByProtocol {
		return "protocol (see the stories)"
	}
	return string(k.Refused)
}

// cell prints false accepts, false rejects and detection in per cent. Bold where an assumption is broken.
func (r Row) cell() string {
	accepts := share(r.FalseAccepts, r.Cheats)
	if r.FalseAccepts == 0 {
		accepts = "0"
	}
	s := fmt.Sprintf("%s / %s / %s", accepts, share(r.FalseRejects, r.Honest), share(r.Detected, r.Cheats))
	if !r.Holds {
		s = "**" + s + "**"
	}
	return s
}

func share(n, of int64) string {
	if of == 0 {
		return "–"
	}
	p := 100 * float64(n) / float64(of)
	if n > 0 && p < 1 {
		return fmt.Sprintf("%.2g", p)
	}
	return fmt.Sprintf("%.0f", p)
}

// WriteCSV writes rows of Tabulate as CSV with every count.
func WriteCSV(w io.Writer, rows []Row) error {
	var b strings.Builder
	b.WriteString("adversary,strength,f,speed,committee,quarantine,assumptions_hold,convicted,honest,proven,false_rejects,alarms,cheats,detected,outside,false_accepts,lost,proofs\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "%s,%g,%d,%s,%d,%t,%t,%d,%d,%d,%d,%d,%d,%d,%d,%d,%d,%d\n", r.Adversary.Name, r.Adversary.Strength, r.Defence.F, r.Defence.Class,
			r.Defence.Committee, r.Defence.Quarantine, r.Holds, r.Convicted, r.Honest, r.Proven, r.FalseRejects, r.Alarms, r.Cheats, r.Detected, r.Outside, r.FalseAccepts, r.Lost, r.Proofs)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
