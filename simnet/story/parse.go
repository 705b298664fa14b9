package story

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
)

// Limits of a story, so that a wrong file cannot take the machine down.
const (
	maxLines   = 500
	maxLine    = 400
	maxBeacons = 60
	maxCores   = 200
)

// ErrStory reports a line that cannot be read. The error names file and line and what would be right.
var ErrStory = errors.New("story")

// Story is a parsed scenario.
type Story struct {
	File    string
	Title   string // the first sentence of the first comment
	Seed    uint64
	places  map[string]world.Place // towns by the story's own names
	links   []link
	beacons []beaconLine
	cores   []coreLine
	gate    string // place; empty: where the first beacon stands
	permit  string
	policy  rules
	acts    []act
}

type link struct {
	a, b   string // places
	medium string // of media; or empty
	rttMS  float64
}

type beaconLine struct{ name, place, domain string }

type coreLine struct {
	name, place, claims, clones string
	stolen                      bool // the clone has no timed key but its own
}

// act is a line that happens: one of its fields is set.
type act struct {
	line  int
	text  string // as it is written, for reports
	power *power
	prove []string
	move  [2]string // who, where to
	wait  string    // duration
	holds check
}

// command reads one kind of line.
type command struct {
	usage string
	read  func(p *parser, args []string) error
}

// language is the table of words.
func language() map[string]command {
	return map[string]command{
		"seed":      {"seed NUMBER", (*parser).seed},
		"place":     {"place NAME CITY of the world, or place NAME LATITUDE LONGITUDE [ACCESS]", (*parser).place},
		"link":      {"link PLACE PLACE vacuum|fibre|ROUND-TRIP-MS", (*parser).link},
		"beacon":    {"beacon NAME PLACE [domain DOMAIN]", (*parser).beacon},
		"core":      {"core NAME PLACE [claims PLACE]", (*parser).core},
		"gate":      {"gate PLACE", (*parser).gate},
		"permit":    {"permit EXPRESSION over the atlas", (*parser).permit},
		"policy":    {"policy KEY VALUE ...; keys are " + strings.Join(policyKeys, ", "), (*parser).policy},
		"adversary": {"adversary NAME ...; names are " + strings.Join(Powers(), ", "), (*parser).adversary},
		"prove":     {"prove CORE [CORE ...]", (*parser).prove},
		"move":      {"move CORE|BEACON PLACE", (*parser).move},
		"wait":      {"wait DURATION, such as 30s", (*parser).wait},
		"expect":    {"expect CORE granted|denied [by CHECK]|failed|false-accept, expect CORE verdict KIND, or expect COUNT >= NUMBER", (*parser).expect},
	}
}

// Words lists the words of the language, sorted.
func Words() []string {
	var words []string
	for w := range language() {
		words = append(words, w)
	}
	slices.Sort(words)
	return words
}

type parser struct {
	story *Story
	words map[string]command
	cast  *world.World // the cities
	line  int
	text  string

	titled bool
}

// Parse reads a story. Errors name file and line.
func Parse(file string, text []byte) (*Story, error) {
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%w: %s:1: not UTF-8 text; write the story in plain text", ErrStory, file)
	}
	cities, err := world.Builtin(world.Config{Seed: 1})
	if err != nil {
		return nil, err
	}
	p := &parser{story: &Story{File: file, Seed: 1, places: map[string]world.Place{}, policy: defaults()}, words: language(), cast: cities}
	for line := range strings.Lines(string(text)) {
		p.line++
		if p.line > maxLines || len(line) > maxLine {
			return nil, p.errorf("a story has at most %d lines of %d bytes", maxLines, maxLine)
		}
		if err := p.read(strings.TrimSpace(line)); err != nil {
			return nil, err
		}
	}
	return p.story, p.whole()
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("%w: %s:%d: %w", ErrStory, p.story.File, p.line, fmt.Errorf(format, args...))
}

// read reads one line.
func (p *parser) read(line string) error {
	text, comment, _ := strings.Cut(line, "#")
	p.text = strings.TrimSpace(text)
	words := strings.Fields(p.text)
	if len(words) == 0 {
		p.title(strings.TrimSpace(comment))
		return nil
	}
	p.titled = true
	c, ok := p.words[words[0]]
	if !ok {
		return p.errorf("unknown word %q; use one of %s", words[0], strings.Join(Words(), ", "))
	}
	return c.read(p, words[1:])
}

// title adds a line of comment to the title, until its first sentence ends.
func (p *parser) title(comment string) {
	if p.titled || comment == "" {
		return
	}
	p.story.Title = strings.TrimSpace(p.story.Title + " " + comment)
	if sentence, _, ends := strings.Cut(p.story.Title+" ", ". "); ends {
		p.story.Title, p.titled = sentence+".", true
	}
}

// usage is the error of a line whose arguments do not fit.
func (p *parser) usage(word string) error {
	return p.errorf("cannot read %q; write %s", p.text, p.words[word].usage)
}

// whole checks what only the whole story shows.
func (p *parser) whole() error {
	s := p.story
	switch {
	case len(s.beacons) == 0:
		return p.errorf("a story needs a beacon; write %s", p.words["beacon"].usage)
	case s.permit == "":
		return p.errorf("a story needs a permitted region; write %s", p.words["permit"].usage)
	case !slices.ContainsFunc(s.acts, func(a act) bool { return len(a.prove) > 0 }):
		return p.errorf("nothing is proved; write %s", p.words["prove"].usage)
	case !slices.ContainsFunc(s.acts, func(a act) bool { return a.holds != nil }):
		return p.errorf("nothing is expected, so the story cannot fail; write %s", p.words["expect"].usage)
	}
	return nil
}

// setting refuses scenery after the play has begun.
func (p *parser) setting(word string) error {
	if len(p.story.acts) > 0 && slices.ContainsFunc(p.story.acts, func(a act) bool { return a.power == nil }) {
		return p.errorf("%s stands before the first prove, move, wait or expect", word)
	}
	return nil
}

// name checks a name that the story gives to something new.
func (p *parser) name(s string) error {
	ok := s != "" && len(s) <= 40 && unicode.IsLetter(rune(s[0]))
	for _, r := range s {
		ok = ok && r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_')
	}
	if !ok {
		return p.errorf("%q is no name; use up to 40 letters, digits and dashes, a letter first", s)
	}
	if p.beaconOf(s) != nil || p.coreOf(s) != nil {
		return p.errorf("%q is taken; every beacon and core needs a name of its own", s)
	}
	return nil
}

func (p *parser) beaconOf(name string) *beaconLine {
	for i := range p.story.beacons {
		if p.story.beacons[i].name == name {
			return &p.story.beacons[i]
		}
	}
	return nil
}

func (p *parser) coreOf(name string) *coreLine {
	for i := range p.story.cores {
		if p.story.cores[i].name == name {
			return &p.story.cores[i]
		}
	}
	return nil
}

func (p *parser) seed(args []string) (err error) {
	if len(args) != 1 {
		return p.usage("seed")
	}
	if p.story.Seed, err = strconv.ParseUint(args[0], 10, 64); err != nil {
		return p.errorf("%q is no seed; write a whole number, such as seed 7", args[0])
	}
	return p.setting("seed")
}

func (p *parser) permit(args []string) error {
	if len(args) == 0 || p.story.permit != "" {
		return p.usage("permit")
	}
	p.story.permit = strings.Join(args, " ")
	if _, err := atlas.Parse(p.story.permit, atlas.Options{}); err != nil {
		return p.errorf("permit: %w", err)
	}
	return p.setting("permit")
}

func (p *parser) beacon(args []string) error {
	if len(args) != 2 && (len(args) != 4 || args[2] != "domain") {
		return p.usage("beacon")
	}
	if err := firstOf(p.name(args[0]), p.known(args[1]), p.setting("beacon")); err != nil {
		return err
	}
	if len(p.story.beacons) >= maxBeacons {
		return p.errorf("a story has at most %d beacons", maxBeacons)
	}
	b := beaconLine{name: args[0], place: args[1], domain: "operator:" + args[0]}
	if len(args) == 4 {
		if err := p.word(args[3]); err != nil {
			return err
		}
		b.domain = "operator:" + args[3]
	}
	p.story.beacons = append(p.story.beacons, b)
	return nil
}

func (p *parser) core(args []string) error {
	if len(args) != 2 && (len(args) != 4 || args[2] != "claims") {
		return p.usage("core")
	}
	c := coreLine{name: args[0], place: args[1], claims: args[1]}
	if len(args) == 4 {
		c.claims = args[3]
	}
	return p.addCore(c)
}

func (p *parser) addCore(c coreLine) error {
	if err := firstOf(p.name(c.name), p.known(c.place), p.known(c.claims), p.setting("a core")); err != nil {
		return err
	}
	if len(p.story.cores) >= maxCores {
		return p.errorf("a story has at most %d cores", maxCores)
	}
	p.story.cores = append(p.story.cores, c)
	return nil
}

func (p *parser) gate(args []string) error {
	if len(args) != 1 {
		return p.usage("gate")
	}
	p.story.gate = args[0]
	return firstOf(p.known(args[0]), p.setting("gate"))
}

// word checks a domain: lower-case letters, digits and dashes.
func (p *parser) word(s string) error {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-') || len(s) > 40 {
			return p.errorf("%q is no domain; use up to 40 lower-case letters, digits and dashes", s)
		}
	}
	return nil
}
