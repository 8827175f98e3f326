"""Tortoise ORM: run_async() with a database in memory, and a child."""

from _child import child
from tortoise import Tortoise, fields, run_async
from tortoise.models import Model


class Item(Model):
    id = fields.IntField(primary_key=True)


async def main() -> None:
    await Tortoise.init(db_url="sqlite://:memory:", modules={"models": ["__main__"]})
    await Tortoise.generate_schemas()
    await Item.create(id=await child())
    print([item.id for item in await Item.all()])


run_async(main())
