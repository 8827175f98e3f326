"""Scrapy: a spider on the asyncio reactor asks a local server, and starts a child."""

import http.server
import threading

import scrapy
from _child import child
from scrapy.crawler import CrawlerProcess

server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()


class Spider(scrapy.Spider):
    name = "wild"
    start_urls = (f"http://127.0.0.1:{server.server_port}/",)

    async def parse(self, response: object) -> object:
        print(response.status, await child())
        yield {}


reactor = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"
crawler = CrawlerProcess({"TWISTED_REACTOR": reactor, "LOG_ENABLED": False, "TELNETCONSOLE_ENABLED": False})
crawler.crawl(Spider)
crawler.start()
