package relay

// table finds pairs by token: a slot's number and the generation of its use.
// Slots are used again, tokens are not (in 2³² uses of one slot).
type table struct {
	slots []slot
	free  []int32
}

type slot struct {
	pair       *pair
	generation int32
}

func (t *table) add(p *pair) {
	if n := len(t.free); n > 0 {
		p.slot = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		p.slot = int32(len(t.slots))
		t.slots = append(t.slots, slot{})
	}
	t.slots[p.slot].pair = p
}

func (t *table) remove(p *pair) {
	s := &t.slots[p.slot]
	s.pair = nil
	s.generation++
	t.free = append(t.free, p.slot)
}

// find returns nil for a token whose pair has ended.
func (t *table) find(number, generation int32) *pair {
	if s := &t.slots[number]; s.generation == generation {
		return s.pair
	}
	return nil
}

// each calls f with every pair; f may remove it.
func (t *table) each(f func(*pair)) {
	for i := range t.slots {
		if p := t.slots[i].pair; p != nil {
			f(p)
		}
	}
}
